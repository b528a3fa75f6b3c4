"""What may leave, and to whom: publications, their channel patterns and the rules of who may join."""
