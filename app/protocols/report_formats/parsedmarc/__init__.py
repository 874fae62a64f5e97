"""Reports in the output of parsedmarc: its JSON and CSV files, and documents of Elasticsearch.

The output lacks parts of the original report, so such a report counts as imported.
"""
