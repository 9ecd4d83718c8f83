"""Small helpers that every folder may use: files, downloads, messages, images, number ranges, trusted names."""
