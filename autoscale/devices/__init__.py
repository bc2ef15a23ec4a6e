"""Where networks run: boards, and what they leave for a network."""
