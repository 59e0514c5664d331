"""Tables, figures and pages, all made from records and verdicts. No torch here."""
