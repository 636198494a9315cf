#!/bin/sh
# A SLURM of one node on this machine, for tests: slurm.sh start FOLDER, slurm.sh stop FOLDER. Needs root, and
# Debian's packages slurm-wlm and munge (apt-get install --no-install-recommends slurm-wlm munge).
#
# It has 4 cores and 2 GPUs that are none (/dev/null), partitions `low` and `high`, of which the latter
# preempts the former, keeps no accounts, and kills 10 seconds after it has asked.
set -eu
folder=$2
host=$(hostname -s)

start() {
    mkdir -p "$folder/state" "$folder/spool" "$folder/munge"
    chmod 755 "$folder"
    dd if=/dev/urandom of="$folder/munge/key" bs=1024 count=1 2>/dev/null
    chmod 400 "$folder/munge/key"
    chmod 711 "$folder/munge"
    munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
        --pid-file="$folder/munge/pid" --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
    cat >"$folder/gres.conf" <<END
Name=gpu File=/dev/null,/dev/zero
END
    cat >"$folder/slurm.conf" <<END
ClusterName=toonlab
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=${SLURM_PORT:-17817}
SlurmdPort=$((${SLURM_PORT:-17817} + 1))
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CryptoType=crypto/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
KillWait=10
MinJobAge=300
ReturnToService=2
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000 Gres=gpu:2
PartitionName=low Nodes=$host Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=high Nodes=$host MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
END
    export SLURM_CONF="$folder/slurm.conf"
    slurmctld
    slurmd -N "$host"
    for _ in $(seq 60); do
        [ "$(sinfo -h -o %T 2>/dev/null | sort -u)" = idle ] && exit 0
        sleep 0.5
    done
    echo "SLURM does not come up:" >&2
    tail -5 "$folder/slurmctld.log" "$folder/slurmd.log" >&2
    exit 1
}

stop() {
    export SLURM_CONF="$folder/slurm.conf"
    scancel --signal=KILL --user="$(id -un)" 2>/dev/null || true
    for name in slurmd slurmctld munge/; do
        file="$folder/${name}.pid"
        [ "$name" = munge/ ] && file="$folder/munge/pid"
        [ -f "$file" ] && kill "$(cat "$file")" || true
    done
}

"$1"
