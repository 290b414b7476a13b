"""What segments cost at a million customers, beside scikit-learn and faiss."""
