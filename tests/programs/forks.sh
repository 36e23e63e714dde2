# Forks in every way that a shell has: `sh forks.sh KNOWN ROUNDS`. Each round starts KNOWN (known.c) four times.
known=$1
rounds=$2
echo "ready $$"
read -r line || exit 98
round=0
while [ "$round" -lt "$rounds" ]; do
    # The first lives long enough to be looked at; the others are gone within a millisecond or two.
    if [ "$round" -eq 0 ]; then
        "$known" 1000 8 0 200
    else
        "$known" 1000 8
    fi
    ( "$known" 2000 4; : )
    captured=$( "$known" 3000 4; echo done )
    "$known" 4000 4 | cat
    [ "$captured" = done ] || exit 99
    round=$((round + 1))
done
echo "truth {\"sites\": {}, \"values\": {\"rounds\": $rounds}}"
echo hold
read -r line
exit 0
