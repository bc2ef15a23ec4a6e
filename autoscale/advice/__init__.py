"""What more images, epochs, network or pixels would buy: laws of error, and what trainings say."""
