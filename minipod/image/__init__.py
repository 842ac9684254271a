"""Images: what they are called, where they lie, who their users are."""
