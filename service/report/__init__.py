"""What a campaign looks like outside: a page for people, indicators for other systems. It knows the records alone."""
