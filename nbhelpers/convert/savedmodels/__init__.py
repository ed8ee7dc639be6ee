"""What a receiver needs beside a SavedModel: requests, client code, Triton's configuration."""
