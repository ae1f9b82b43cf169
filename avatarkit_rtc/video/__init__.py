"""The picture of a video avatar: what a view gets, and when. Pure, but for what converts pixels."""
