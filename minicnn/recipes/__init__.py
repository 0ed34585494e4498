"""Lecture systems that run from one command."""
