"""Measuring: a pipeline and labelled images in, numbers with intervals and a report with every failure out. Never imports torch."""
