# The tests of LIBRAFT.md's rules, mapped in docs/libraft-rules.md: first the guards around libraft alone (the rig), then
# the whole replica on the simulator's machines, watched where it meets libraft.
add_library(guards_rig STATIC guards_rig.c guards_rig_memory.c guards_rig_talk.c)
target_link_libraries(guards_rig PUBLIC baton_replica PkgConfig::CMOCKA)

foreach(test receiving peers leading machine)
    baton_test(guards_${test} SOURCES guards_${test}_test.c LINK guards_rig)
endforeach()

set(WATCHED_CALLS raft_start raft_apply raft_barrier raft_transfer raft_close peer_send storage_loaded)
list(TRANSFORM WATCHED_CALLS PREPEND "-Wl,--wrap=" OUTPUT_VARIABLE WATCH_OPTIONS)
add_library(guards_watch OBJECT guards_watch.c)
target_link_libraries(guards_watch PUBLIC replica_cluster)
target_link_options(guards_watch PUBLIC ${WATCH_OPTIONS})

foreach(test settings calls contract elections placed)
    baton_test(guards_${test} SOURCES guards_${test}_test.c LINK guards_watch)
endforeach()
