"""The studio: people compare, rate and correct answers, and the studio knows what their labels are worth.

store     what was said, by whom, when: nothing acknowledged is ever lost
kinds     the forms that people fill in, one file each
assignment, answers, people, review    who does what next, and what becomes of it
quality, coverage                      what the labels are worth, and where there are none
importing, exporting                   files -> items; labels -> groups of any format
web       the application in the browser
"""
