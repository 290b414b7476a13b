"""Do segments keep their identity over refits, and are true changes of segments told?"""
