"""What is done to training images besides cutting them: colours, distortions, mixtures."""
