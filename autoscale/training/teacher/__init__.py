"""Training by a teacher's answers: the crops that it sees too, and what is learned from them."""
