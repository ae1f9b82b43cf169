"""Python client for streamed talking avatars."""
