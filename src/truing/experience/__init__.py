"""Where batches come from, and what is known of them before the update.

offline         groups from files, as token trees with their feedback; the protocol `Experience`
online          samples of the policy: drawn, rewarded, assessed, given advantages
drawn           prompts with their samples and rewards
log             numbers and texts about them
demonstrations  what of a judged group is worth imitating
pairwise        two answers in one sequence, in both orders
aspects         scores of several aspects on one scale
penalty         KL inside the reward, and the coefficient that follows a target
rivals          samples of somebody else than the policy, and what a reward says of one side seen from the other
verdicts        rewards as feedback, so that offline objectives train on samples too
co_reward       reward models that are trained along with the policy
signs           signs of trouble in the samples, as numbers for the log
"""
