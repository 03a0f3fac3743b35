"""What a reviewer sees of one candidate: page, model card, CLAIM checklist; drawn from records, judging nothing."""
