#!/bin/sh
# The versions of requirements.lock as pip's --constraint wants them: without hashes, which it takes for requirements of
# everything, and without what the platforms add.   sh launch/constraints.sh > constraints.txt
sed -E 's/ *(--hash=[^ ]*|\\)//g; /^$/d' requirements.lock
