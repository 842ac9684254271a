import asyncio

from minipod.node import hub as module
from minipod.node.hub import Change, Hub
from minipod.spec.types import ObjectMeta, Pod


def change(name):
    return Change("ADDED", Pod(metadata=ObjectMeta(name=name)), b"{}")


async def names(watch):
    return [each.object.metadata.name async for each in watch]


def test_a_watcher_gets_what_it_wants_in_order():
    async def main():
        hub = Hub()
        with hub.watch(lambda each: each.object.metadata.name != "b") as watch:
            for name in "abc":
                hub.publish(change(name))
            hub.close()
            return await names(watch)

    assert asyncio.run(main()) == ["a", "c"]


def test_a_watcher_that_left_is_told_nothing_more():
    async def main():
        hub = Hub()
        with hub.watch(lambda _: True) as watch:
            pass
        hub.publish(change("a"))
        watch.end()
        return await names(watch)

    assert asyncio.run(main()) == []


def test_a_watcher_that_falls_behind_too_far_is_cut_off_and_misses_nothing_before(monkeypatch):
    monkeypatch.setattr(module, "_PENDING", 2)

    async def main():
        hub = Hub()
        with hub.watch(lambda _: True) as watch:
            for name in "abcde":
                hub.publish(change(name))
            return await names(watch)

    assert asyncio.run(main()) == ["a", "b"]


def test_a_watch_begun_when_the_node_is_stopping_ends_at_once():
    async def main():
        hub = Hub()
        hub.close()
        with hub.watch(lambda _: True) as watch:
            return await names(watch)

    assert asyncio.run(main()) == []
