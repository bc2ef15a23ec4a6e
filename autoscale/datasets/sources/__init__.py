"""What images come in besides folders: lists, tables, archives, arrays. A file a kind."""
