"""What more images, epochs, network or pixels would buy: short trainings around a run's network."""
