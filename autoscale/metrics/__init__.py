"""What networks are judged by: accuracy and other measures of their answers, with intervals."""
