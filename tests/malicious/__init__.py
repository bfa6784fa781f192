"""What a model that obeys everybody may be told to do, what there is to steal and to spoil, and who would notice."""
