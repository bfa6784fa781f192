"""What a repository defines, who refers to it, and which of that a task should know first.

Rule of this package: what is read is a commit of a trusted bare repository, as untrusted text; grammars see it in processes of
their own, and what they make of it is bounded.
"""
