def commits(bench):
    pass
