"""What is told of it: tables, figures and pages, all made from records and verdicts. No torch here."""
