"""The jobs a user comes for."""
