"""What a reader looks at: contact sheets, strips of denoised predictions, plots and the module tree."""
