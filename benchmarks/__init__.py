"""Every figure that the README claims, one file each, beside the peer it is claimed against."""
