"""Teachers: trained networks whose answers others learn from."""
