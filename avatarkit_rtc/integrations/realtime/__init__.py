"""One live conversation with a realtime model, whichever provider it is from."""
