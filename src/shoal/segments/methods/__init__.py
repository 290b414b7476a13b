"""Methods that divide the rows of a prepared matrix: a file each, one face (`base.Clusterer`)."""
