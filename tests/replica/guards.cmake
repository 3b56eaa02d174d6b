# The tests of LIBRAFT.md's rules, mapped in docs/libraft-rules.md: first the guards around libraft alone (the rig), then
# the whole replica on the simulator's machines, watched where it meets libraft.
add_library(guards_rig STATIC guards_rig.c)
target_link_libraries(guards_rig PUBLIC baton_replica PkgConfig::CMOCKA)

foreach(test receiving peers leading machine)
    baton_test(guards_${test} SOURCES guards_${test}_test.c LINK guards_rig)
endforeach()
