"""Durable training states, and how a training is resumed from one."""
