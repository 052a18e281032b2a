"""What all recipes share: settings, jobs, data, cards."""
