"""What is done to a whole model: keys, Monte-Carlo dropout, conversion, schedules, export."""
