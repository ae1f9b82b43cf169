"""Views: how a pose looks and where its images go."""
