"""The service under faults: killed, without disk, with disks that lie, late, odd and overloaded."""
