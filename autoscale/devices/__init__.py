"""Where networks run: runtimes and their timings, boards, and what they leave for a network."""
