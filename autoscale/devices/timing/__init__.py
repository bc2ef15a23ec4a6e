"""How long networks take in a runtime on this device."""
