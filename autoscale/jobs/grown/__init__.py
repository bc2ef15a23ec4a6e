"""A family whose members grow out of each other: each begins with what the one before learned."""
