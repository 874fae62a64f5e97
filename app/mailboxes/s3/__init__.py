"""Buckets of Amazon S3 and compatible services."""
