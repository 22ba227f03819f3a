"""The end of a partnership (rule 24): the mark on its operator, and the end of its tickets."""
