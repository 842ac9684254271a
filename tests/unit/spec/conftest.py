"""Properties are checked without a clock: a busy machine must not fail a test."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "minipod", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("minipod")
