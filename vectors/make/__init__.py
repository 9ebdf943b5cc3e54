"""What the generator makes: a module for each file of vectors, and what they share."""
