"""One file a method; see `abctl.stats.estimate` for what a method is.

What was counted decides which one answers; the first of each pair is for one look at the planned
end, the second for any number of looks:

    Counts     proportion (newcombe; chi_squared; if small fisher,     proportion_sequence
               barnard, boschloo)
    Moments    welch                                                   mean_sequence
                                                                       bursty_mean_sequence
    Buckets    ratio                                                   ratio_sequence
    Events     rate                                                    rate_sequence
    Histogram  quantile                                                quantile_sequence
               mann_whitney                                            histogram_sequence
               share_above                                             share_above_sequence
"""
