"""What a training minimises, and what it does about classes of uneven size."""
