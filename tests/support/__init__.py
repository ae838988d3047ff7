"""What several tests share: made-up texts, models and networks, ways to run the command line."""
